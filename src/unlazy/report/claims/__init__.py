"""The five claims of *Do All Vision Transformers Need Registers?*, tested on any model."""
