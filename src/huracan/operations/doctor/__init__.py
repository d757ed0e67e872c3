"""The preflight of a night: what is right, doubtful or wrong on this machine, and what to do about it.

Every check is one function from the circumstances to findings; CHECKS lists them in the order a person reads them.
A check that raises one of our errors has found something wrong; nothing here writes anything but one test file.
"""

from huracan.operations.doctor.finding import Circumstances, Finding, State
from huracan.operations.doctor.rounds import CHECKS, diagnose, verdict_status

__all__ = ["CHECKS", "Circumstances", "Finding", "State", "diagnose", "verdict_status"]
