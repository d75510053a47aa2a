"""The local AutoML engine: trains what an Azure ML AutoML job file describes, on this machine.

Order: problem (rows, splits) -> features -> algorithms -> trial (fit, score, pack) in workers -> search -> run.
"""
