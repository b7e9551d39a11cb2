"""The parts of the training doctor: what it measures about a run, and what it concludes."""
