"""Why a (coin, horizon) cannot be trained: raised inside step 5, a Skip outside."""

from huracan.domain.records import Skip, SkipCode
from huracan.errors import HuracanError
from huracan.training.user_code import UserFault


class TrainingRefused(HuracanError):  # noqa: N818 - a verdict on the data, not a fault
    """Step 5 refuses a (coin, horizon); carries everything its Skip needs, `code` among it.

    `fault` is set where user-supplied code raised.
    """

    code: SkipCode  # type: ignore[misc]  # every other error has one code for its class, this one has one per verdict

    def __init__(
        self,
        code: SkipCode,
        reason: str,
        *,
        measured: float | str | None = None,
        wanted: float | str | None = None,
        fault: UserFault | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.measured = measured
        self.wanted = wanted
        self.fault = fault

    def skip(self, coin: str, horizon: str) -> Skip:
        """The verdict as a value of step 5.

        >>> TrainingRefused(SkipCode.SHORT_HISTORY, "20 days", measured=20.0, wanted=34.0).skip("BTC", "1h").code
        <SkipCode.SHORT_HISTORY: 'SHORT_HISTORY'>
        """
        return Skip(
            coin=coin,
            horizon=horizon,
            step=5,
            code=self.code,
            reason=self.reason,
            measured=self.measured,
            wanted=self.wanted,
        )
