"""Units of the numbers in the log, by name.

People see shares in percent: on the terminal, in TensorBoard and on pages. In code and in `log_json` shares are from 0
to 1.
"""

SHARES = frozenset(
    {
        "prototypes/entropy_of_codes",
        "prototypes/entropy_of_predictions",
        "prototypes/agreement_of_views",
        "prototypes/share_in_use",
        "prototypes/largest_share",
        "views/accuracy_among_negatives",
        "probe/knn_top1",
        "probe/linear_top1",
        "probe/knn_top1_of_pixels",
        "features/neighbours_by_colour",
        "accuracy/of_training_batches",
        "system/share_of_time_waiting_for_data",
        "system/share_of_time_logging",
    }
)

_UNITS = {  # by the beginning of the name
    "loss/relative_to_ln_K": "loss / ln K",
    "loss/": "nats",
    "prototypes/entropy": "% of ln K",
    "features/rank_me": "dimensions",
    "features/std": "std x √dims",
    "views/alignment": "squared distance",
    "views/uniformity": "ln of the mean potential",
    "views/std": "std x √dims",
    "quality/": "ln RankMe x certainty",
    "training/learning_rate": "learning rate",
    "training/skipped_steps": "steps",
    "training/distinct_batches": "batches",
    "training/retries": "retries",
    "training/updates/relative": "of the norm of the weights",
    "training/updates": "norm",
    "training/gradients": "norm",
    "training/": "factor",
    "system/images_per_second": "images/s",
    "system/seconds": "s",
    "system/host_peak_gib": "GiB",
    "system/gpu": "GiB",
}


def unit(name: str) -> str:
    """Returns the unit of a number in the log, for the axis of a chart; empty if the unit is unknown."""
    known = (of_these for beginning, of_these in _UNITS.items() if name.startswith(beginning))
    return next(known, "%" if name in SHARES else "")
