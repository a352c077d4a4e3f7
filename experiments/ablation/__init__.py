"""The ablations of the paper's Table 4 and its scale study, described by the YAML files beside; run by ``python -m experiments.ablate``."""
