"""The config of a run: frozen dataclasses whose fields declare their range, unit and help.

`Config` is the config of a pretraining run. The config of a fine-tuning run is in `finetuning/config.py`. Nothing here
imports TensorFlow.
"""

from seer_tf.config.common import (
    ACTIVATION_CHECKPOINTING,
    INTERPOLATIONS,
    ON_TROUBLE,
    PARTS_TO_RESET,
    AnyConfig,
    BaseConfig,
    CropsConfig,
    RunConfig,
)
from seer_tf.config.fields import Field, Range, describe, field
from seer_tf.config.forms import (
    differences,
    format_value,
    from_json,
    override,
    parse,
    read_kind,
    read_method,
    replace,
    to_json,
    to_text,
    to_texts,
    validate,
)
from seer_tf.config.pretraining import (
    PLACES,
    SCHEDULES,
    BackboneConfig,
    Config,
    DataConfig,
    HeadConfig,
    OptimizerConfig,
    PretrainingConfig,
    ScheduleConfig,
    SwavConfig,
)

__all__ = [
    "ACTIVATION_CHECKPOINTING",
    "INTERPOLATIONS",
    "ON_TROUBLE",
    "PARTS_TO_RESET",
    "PLACES",
    "SCHEDULES",
    "AnyConfig",
    "BackboneConfig",
    "BaseConfig",
    "Config",
    "CropsConfig",
    "DataConfig",
    "Field",
    "HeadConfig",
    "OptimizerConfig",
    "PretrainingConfig",
    "Range",
    "RunConfig",
    "ScheduleConfig",
    "SwavConfig",
    "describe",
    "differences",
    "field",
    "from_json",
    "read_kind",
    "read_method",
    "override",
    "parse",
    "replace",
    "to_json",
    "to_text",
    "to_texts",
    "validate",
    "format_value",
]
