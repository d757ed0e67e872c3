"""Every error Huracan raises on purpose, one class per decision a caller can take.

::

    HuracanError
    ├── ConfigError              exit 2   the configuration or the command line is wrong
    │   └── MissingExtraError             a part needs an extra of this distribution that is not installed
    ├── DataError                exit 3   the data are refused; nothing was promoted on them
    │   ├── StaleDataError                too old
    │   ├── ClockSkewError                exchange and system clock disagree
    │   ├── SchemaError                   not the columns, units or values we were promised
    │   │   └── DamagedTableError         a table of the lake cannot be read, as after a power cut
    │   ├── ChecksumError                 bytes differ from the published checksum
    │   ├── AlteredArtefactError          a derived file is not the one that a job wrote
    │   ├── UpstreamError                 the exchange does not answer, or answers what is not valid
    │   │   └── DelistedError             the exchange answers, and knows the symbol no longer
    │   ├── LedgerError                   a past day, an edit or a reused slot: the evidence stays as it was
    │   │   └── LedgerBehindError         the ledger is older than the signed set beside it, empty, or another one
    │   └── BannedError                   the exchange asked us to stay away until a time
    ├── BackendError             exit 4   a compute backend is missing or lost
    │   └── WorkerLostError               one worker died; only its own job is affected
    ├── JobFailedError                    a job raised; its error travelled here as text
    │   └── UserCodeError                 a callable that the user passed in raised for every pair that reached it
    ├── JobTimedOutError                  a job took longer than its limit and was ended
    ├── IncompleteError                   the night's accounts do not add up; it publishes nothing
    ├── PublishError             exit 5   the night is finished, publishing it is not
    │   ├── DiskFullError        exit 5   no space left; yesterday's champions are untouched
    │   └── MirrorFaultError     exit 5   a remote store failed in a way that nothing foresaw
    ├── LockedError              exit 6   another run holds the store
    │   └── FencedError                   another run took over while this one slept
    ├── ForkedProcessError                this process cannot compute features: it lost its threads in a fork
    └── ModelLoadError                    Hamilton refuses a bundle
        ├── BundleSignatureError          a signature, hash or rollback check failed
        │   └── ForeignKeysError          signed by keys that the trusted root does not know
        ├── BundleFormatError             signed, but not a well-formed bundle
        └── FeatureError                  missing, extra, non-finite or unseen features
            └── FeatureSkewError          the feature code is not the code of training
"""

from typing import ClassVar


class HuracanError(Exception):
    """Root of all errors raised on purpose; `code` is stable, `exit_status` is the command's."""

    code: ClassVar[str] = "ERROR"
    exit_status: ClassVar[int] = 1


class ConfigError(HuracanError):
    """Unknown, duplicate or out-of-range configuration; says the key and the line."""

    code = "CONFIG"
    exit_status = 2


class MissingExtraError(ConfigError):
    """A part of the program needs an extra that is not installed; the message holds the command that installs it."""

    code = "MISSING_EXTRA"


class DataError(HuracanError):
    """Data that must not be trained on."""

    code = "DATA"
    exit_status = 3


class StaleDataError(DataError):
    """The newest bar is older than the configured limit."""

    code = "STALE"


class ClockSkewError(DataError):
    """System clock and exchange clock differ by more than five seconds."""

    code = "SKEW"


class SchemaError(DataError):
    """Columns, time unit or values are not what the source promises."""

    code = "SCHEMA"


class DamagedTableError(SchemaError):
    """A table of the lake cannot be read any more; its rows can be fetched again."""


class ChecksumError(DataError):
    """The bytes do not have the published sha256."""

    code = "CHECKSUM"


class AlteredArtefactError(DataError):
    """A derived file is gone, or its bytes are not those that a job of ours has written; it can be made again."""

    code = "ALTERED"


class UpstreamError(DataError):
    """The exchange did not answer in time, or answered with something unusable."""

    code = "UPSTREAM"


class DelistedError(UpstreamError):
    """The exchange refuses a symbol that it listed before: delisted, renamed or being settled."""

    code = "DELISTED"


class LedgerError(DataError):
    """The ledger refuses: a past day, another result for a recorded day, a reused gamma, or a broken chain."""

    code = "LEDGER"


class LedgerBehindError(LedgerError):
    """The ledger lacks the entry that the signed set of its store names: deciding on it would repeat nights in
    silence.
    """

    code = "LEDGER_BEHIND"


class BannedError(DataError):
    """The exchange answered 418; `until_ms` says when requests may start again."""

    code = "BANNED"

    def __init__(self, message: str, *, until_ms: int) -> None:
        super().__init__(message)
        self.until_ms = until_ms


class BackendError(HuracanError):
    """A compute backend is not installed, not reachable, or lost."""

    code = "BACKEND_LOST"
    exit_status = 4


class WorkerLostError(BackendError):
    """A worker process died while it worked on one job."""

    code = "WORKER_LOST"


class JobFailedError(HuracanError):
    """A job raised something that is not ours; `error_type` and `traceback` say what and where."""

    code = "JOB_FAILED"

    def __init__(self, message: str, *, error_type: str = "", traceback: str = "") -> None:
        super().__init__(message)
        self.error_type = error_type
        self.traceback = traceback


class UserCodeError(JobFailedError):
    """A callable that the user passed in raised for every pair that reached it; `traceback` is that of the first
    one.
    """

    code = "USER_CODE"


class JobTimedOutError(HuracanError):
    """A job ran longer than `job_timeout_s`; its worker was ended."""

    code = "TIMED_OUT"


class IncompleteError(HuracanError):
    """A night's accounts do not add up, so it publishes nothing; the message says what is missing or stands twice."""

    code = "INCOMPLETE"


class PublishError(HuracanError):
    """Champions are trained and signed, but could not be written to the store."""

    code = "PUBLISH_PENDING"
    exit_status = 5


class MirrorFaultError(PublishError):
    """A remote store's client, or our use of it, failed in a way that nothing foresaw; the other stores go on."""

    code = "MIRROR_FAULT"


class DiskFullError(PublishError):
    """No space, no quota or an I/O error while writing."""

    code = "DISK_FULL"


class LockedError(HuracanError):
    """Another run holds the workdir or the store."""

    code = "LOCKED"
    exit_status = 6


class FencedError(LockedError):
    """Another run published meanwhile; this one publishes nothing."""

    code = "FENCED"


class ForkedProcessError(HuracanError):
    """A forked worker whose parent had used polars; says how to start workers instead."""

    code = "FORKED"


class ModelLoadError(HuracanError):
    """A champion cannot be served; the message says which and why."""

    code = "MODEL_LOAD"


class BundleSignatureError(ModelLoadError):
    """Signature, hash, expiry or version checks failed."""

    code = "BUNDLE_SIGNATURE"


class ForeignKeysError(BundleSignatureError):
    """All signatures are of keys that the trusted root does not name: another owner's store, or a planted one."""


class BundleFormatError(ModelLoadError):
    """The bytes are authentic but do not describe a valid bundle."""

    code = "BUNDLE_FORMAT"


class FeatureError(ModelLoadError):
    """The features given to `predict` are not exactly the ones the champion wants."""

    code = "FEATURES"


class FeatureSkewError(FeatureError):
    """Golden rows no longer give the recorded outputs: the code changed since training."""

    code = "FEATURE_SKEW"
