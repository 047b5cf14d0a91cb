"""The time bank: help counted in minutes, earned by helping and spent by being helped."""
