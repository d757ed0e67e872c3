"""Documented names of export."""

from huracan.adapters.publishers.dropbox import DropboxPublisher as DropboxPublisher
from huracan.export import ExportBundle as ExportBundle
from huracan.export import ModelManifest as ModelManifest
