"""The API of the system that this one succeeds, with its paths, its codes and its shapes: shared clients go on.

pages      the routes
codes      our errors under the original's names
funds      whether it was money that a payment lacked
"""
