"""Step 9: bundle contents, manifest, golden rows, and the signature chain that makes a tree of files trustworthy."""

from huracan.export.contract import ExportBundle, ModelManifest
from huracan.export.golden import golden_rows, replay_golden
from huracan.export.plan import (
    BundleFiles,
    Provenance,
    build_manifest,
    bundle_files,
    numbered,
    plan_bundle,
    same_content,
)

__all__ = [
    "BundleFiles",
    "ExportBundle",
    "ModelManifest",
    "Provenance",
    "build_manifest",
    "bundle_files",
    "golden_rows",
    "numbered",
    "plan_bundle",
    "replay_golden",
    "same_content",
]
