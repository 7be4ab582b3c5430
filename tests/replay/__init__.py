"""Replay inputs and outputs (design contract 4.5)."""
