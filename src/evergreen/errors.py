"""Every error that Evergreen raises on purpose, as one tree of exception classes.

EvergreenError
├── SettingsError            a setting is missing or malformed
├── UntrustedFolder          a folder with code or settings belongs to another user
├── UseCaseError             a declaration is wrong
│   └── UnknownUseCase       no use case of that name is declared
├── SourceError              raw rows cannot be read
│   ├── SourceUnreachable    the database or host does not answer
│   └── SourceUnreadable     the file or its content cannot be understood
├── ValidationFailed         the data broke the use case's contract
├── StoreError               the feature store cannot do what was asked
│   ├── StoreUnreachable     MariaDB does not answer
│   ├── StoreRefused         MariaDB refuses at present: locked, full, read-only, not allowed
│   ├── SchemaMismatch       the tables differ from the declaration
│   ├── KeyNotFound          no online vector under that key
│   ├── HistoryExpired       the rows of that moment are no longer kept
│   └── EmptyTrainingSet     no labelled rows as of that moment
├── TrainingError            a training run cannot finish
│   ├── NotEnoughData        too few rows or classes to split and fit
│   └── GateRejected         the candidate may not be promoted
├── RegistryError            the model registry cannot do what was asked
│   ├── RegistryUnreachable  MLflow does not answer
│   ├── NoChampion           the use case has no champion
│   ├── NotRegistered        MLflow does not have that model or version
│   └── ModelRefused         a registered version may not go into service
│       └── SignatureMismatch  it does not fit the declaration
├── ServingError             the prediction service cannot do what was asked
│   ├── InvalidRequest       a body breaks the contract
│   ├── AccessDenied         the service does not know the API key
│   ├── ServiceBusy          other requests hold the memory that this one needs
│   ├── ModelNotLoaded       the champion is not in service yet
│   ├── PredictionLogFull    predictions can be neither logged nor kept
│   ├── SpoiltRecord         bytes of the spool are not what was written
│   └── ServiceUnreachable   the service does not answer
├── OrchestratorError        Airflow refused something, or a run failed
│   └── OrchestratorUnreachable  Airflow does not answer
├── StackError               the embedded stack cannot start or stop
│   ├── MissingProgram       a system program such as mariadbd is not installed
│   ├── PortInUse            a port that must be this one is taken
│   ├── ChildFailed          a server of the stack did not come up
│   ├── StackNotRunning      the command needs a running stack
│   └── BackupError          a backup cannot be written, or cannot be restored
└── DemoError                the guided tour ended early
    ├── NotTheDemosData      it would have to erase data that no demo made
    ├── AnotherDemo          a demo of the use case runs already
    └── StageNotVerified     the result that a stage should have is missing

A message says what happened and to which object; `hint` says what to do next. `exit_code` is the exit status
of the command line, `http_status` the status of the service's answer.
"""

from __future__ import annotations


class EvergreenError(Exception):
    """Root of the tree: `str(error)` is the message, followed by the hint when there is one."""

    exit_code = 1
    http_status = 400

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Airflow and multiprocessing pickle exceptions; the default way fails for keyword-only arguments.
        # The third value becomes the attributes of the new error.
        return _rebuild, (type(self), self.message, self.hint), self.__dict__


def _rebuild(kind: type[EvergreenError], message: str, hint: str) -> EvergreenError:
    """An error of that class without its own `__init__`, which may take other arguments."""
    error = kind.__new__(kind)
    Exception.__init__(error, message, hint)
    return error


class SettingsError(EvergreenError):
    """A setting is missing or malformed."""

    exit_code = 2


class UntrustedFolder(EvergreenError):
    """A folder with code or settings belongs to a user who is not trusted; nothing in it was read."""

    exit_code = 2


class UseCaseError(EvergreenError):
    """A declaration is wrong."""

    exit_code = 2


class UnknownUseCase(UseCaseError):
    """No use case of that name is declared."""

    http_status = 404


class SourceError(EvergreenError):
    """Raw rows cannot be read."""

    exit_code = 3


class SourceUnreachable(SourceError):
    """The source's database or host does not answer."""


class SourceUnreadable(SourceError):
    """The source's file or content cannot be understood."""


class ValidationFailed(EvergreenError):
    """The data broke the use case's contract; nothing was loaded."""

    exit_code = 4
    http_status = 422


class StoreError(EvergreenError):
    """The feature store cannot do what was asked."""

    exit_code = 5


class StoreUnreachable(StoreError):
    """MariaDB does not answer."""

    http_status = 503


class StoreRefused(StoreError):
    """MariaDB answers, but refuses at present: because of a lock, its disk, its options, or the user's
    rights."""

    http_status = 503


class SchemaMismatch(StoreError):
    """The tables in MariaDB differ from the declaration."""

    http_status = 503


class KeyNotFound(StoreError):
    """No online vector under that key."""

    http_status = 404


class HistoryExpired(StoreError):
    """The system versions of that moment are no longer kept."""


class EmptyTrainingSet(StoreError):
    """There is no labelled row as of that moment."""


class TrainingError(EvergreenError):
    """A training run cannot finish."""

    exit_code = 6


class NotEnoughData(TrainingError):
    """Too few rows or classes to split and fit."""


class GateRejected(TrainingError):
    """The candidate did not pass the gate; the champion stays."""

    exit_code = 7


class RegistryError(EvergreenError):
    """The model registry cannot do what was asked."""

    exit_code = 8


class RegistryUnreachable(RegistryError):
    """MLflow does not answer."""

    http_status = 503


class NotRegistered(RegistryError):
    """MLflow does not have that model or version."""


class NoChampion(RegistryError):
    """The use case has no champion."""

    http_status = 409


class ModelRefused(RegistryError):
    """A registered version may not go into service: it is damaged, replaced, or answers otherwise than when
    it was registered."""

    http_status = 409


class SignatureMismatch(ModelRefused):
    """A registered model does not fit the use case's declaration."""


class ServingError(EvergreenError):
    """The prediction service cannot do what was asked."""

    exit_code = 9


class InvalidRequest(ServingError):
    """A request body breaks the use case's contract."""

    http_status = 422


class AccessDenied(ServingError):
    """The service needs an API key, and knows none that was sent."""

    http_status = 401


class ServiceBusy(ServingError):
    """Other requests hold the memory that this one needs."""

    http_status = 503


class ModelNotLoaded(ServingError):
    """There is, or may be, a champion, but this service has not loaded it yet."""

    http_status = 503


class PredictionLogFull(ServingError):
    """Predictions can be neither logged nor kept, so none are given."""

    http_status = 503


class SpoiltRecord(ServingError):
    """Bytes of the spool are not what was written: changed, cut off, or of a later version."""


class ServiceUnreachable(ServingError):
    """The prediction service does not answer."""

    http_status = 503


class OrchestratorError(EvergreenError):
    """Airflow refused something, or one of its runs failed."""

    exit_code = 10


class OrchestratorUnreachable(OrchestratorError):
    """Airflow does not answer."""

    http_status = 503


class StackError(EvergreenError):
    """The embedded stack cannot start or stop."""

    exit_code = 11


class MissingProgram(StackError):
    """A system program such as mariadbd is not installed."""


class PortInUse(StackError):
    """A port that must be this one is taken."""


class ChildFailed(StackError):
    """A server of the stack did not come up."""


class StackNotRunning(StackError):
    """The command needs a running stack."""


class BackupError(StackError):
    """A backup cannot be written, or is none that can be restored here; the stack is as it was."""


class DemoError(EvergreenError):
    """The guided tour ended early."""

    exit_code = 12


class NotTheDemosData(DemoError):
    """The use case holds rows or a champion that no demo made."""


class AnotherDemo(DemoError):
    """Another demo of the use case is under way."""


class StageNotVerified(DemoError):
    """A stage ran, but the result that it should have is missing."""
