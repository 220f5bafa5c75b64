"""The controllers: each makes the world a little more like what was asked for.

A controller is a pure function `reconcile(object, world, now) -> actions` and one row of a table
(`controller.Controller`); the loop alone reads changes, keeps time and writes. Nothing in here
talks to the network.
"""
