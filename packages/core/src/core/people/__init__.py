"""Made people: photographs and seeds that become labelled, turnable, speaking heads."""
