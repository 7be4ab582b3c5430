"""The command line. Command functions import what they need when they run, so that `mcrisk --help` stays fast."""
