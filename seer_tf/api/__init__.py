"""The Python interface: `pretrain`, `finetune`, `load`, `evaluate` and `export`. The commands call the same code."""
