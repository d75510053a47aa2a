"""Score a file of any size in constant memory, on this machine or on a cluster in Azure.

worker     runs in the proven environment: score.py of the folder, block by block
pool       several workers, whose answers come back in order
tables     CSV and Parquet: read in blocks, written whole or not at all
sink       what was scored into one file, what failed with the reason into another
run        the whole: rows that fail go to a file with the reasons, all others are scored
azure, azure_entry   the same as a job on several nodes at once, and what runs on each
"""
