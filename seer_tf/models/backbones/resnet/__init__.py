"""ResNet and ResNeXt, with which the SEER paper compares RegNets."""
