"""The configuration of a run: every option with its type, default and check, and the checks of combinations."""

from hogwild.config.checks import TIMED_CLOCKS as TIMED_CLOCKS
from hogwild.config.fields import FIELDS as FIELDS
from hogwild.config.fields import GROUPS as GROUPS
from hogwild.config.fields import Config as Config
from hogwild.config.limits import LIMITS as LIMITS
from hogwild.config.limits import override as override
from hogwild.config.yaml_file import read_yaml as read_yaml
