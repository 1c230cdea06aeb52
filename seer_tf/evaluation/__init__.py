"""What features are worth: protocols, results, and the published numbers beside them."""
