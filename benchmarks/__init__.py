"""Measures the budgets on this machine, beside a script of thirty lines."""
