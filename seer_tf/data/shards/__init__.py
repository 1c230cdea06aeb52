"""TFRecord shards: preparing, checking and summarising them."""
