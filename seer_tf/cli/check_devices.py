"""Checks that TensorFlow finds the devices of this host and computes on them as training does; trains nothing.

The command checks TensorFlow's build, the devices, a grouped convolution forward and backward in each precision on each
device, and a sum over all devices. Each check is a line, which ends with a remedy if the check fails.
"""

from absl import flags

from seer_tf.cli.messages import with_flags
from seer_tf.distributed.device_check import checks
from seer_tf.errors import InputError
from seer_tf.quantities import counted

NUM_DEVICES = flags.DEFINE_integer(
    "num_devices",
    None,
    "Number of devices in this host: GPUs, or parts of the CPU without GPUs. [all GPUs, or 1]",
    lower_bound=1,
)


def main() -> None:
    """Runs the command."""
    num_failed = 0
    for check in checks(NUM_DEVICES.value):
        print(f"{check.name}: ", end="", flush=True)  # first, because a broken library may end the process
        found, remedy = check.run()
        print(f"{found}; {with_flags(remedy)}" if remedy else found, flush=True)
        num_failed += bool(remedy)
    if num_failed:
        raise InputError(f"{counted(num_failed, 'check')} failed; the lines say what to do")
