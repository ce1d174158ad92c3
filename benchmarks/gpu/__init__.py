"""The stages of ``gpu.sh``: check, tests, times, rival, report. Each is a program of its own."""
