"""Score a file of any size on this machine, in constant memory.

worker     runs in the proven environment: score.py of the folder, block by block
pool       several workers, whose answers come back in order
tables     CSV and Parquet: read in blocks, written whole or not at all
run        the whole: rows that fail go to a file with the reasons, all others are scored
"""
