"""What the features are worth: k-NN and a linear probe, beside the plainest features of pixels."""
