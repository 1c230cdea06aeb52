"""SwAV: multi-crop codes and swapped prediction (Caron et al. 2020)."""
