"""KerasHub, an optional dependency."""

from typing import Any

from seer_tf.errors import InputError


def keras_hub(purpose: str) -> Any:
    """Imports KerasHub and returns the module.

    Args:
        purpose: What needs KerasHub, for the message.

    Raises:
        InputError: KerasHub is not installed.
    """
    try:
        import keras_hub  # only here: the import takes seconds
    except ImportError:
        raise InputError(f"{purpose} needs KerasHub, which is not installed: pip install 'seer_tf[hub]'") from None
    return keras_hub
