"""TFRecord shards: writing, checking, and summing up what they hold."""
