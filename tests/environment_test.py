"""Another Keras than the one that is needed is named, before it is imported."""

import pytest

import seer_tf
from seer_tf import environment
from seer_tf.errors import InputError


@pytest.mark.parametrize(("name", "value"), [("KERAS_BACKEND", "jax"), ("TF_USE_LEGACY_KERAS", "1")])
def test_another_keras_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment.check_keras()
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"^{name}={value} chooses .*unset this variable"):
        _ = seer_tf.load
