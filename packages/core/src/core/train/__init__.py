"""Training tools shared by the stages; the only part of ``core`` that imports Lightning."""
