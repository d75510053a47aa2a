"""`python -m forestay` is `forestay`."""

from forestay.cli import main
from forestay.rooms import leave_current_folder

if __name__ == "__main__":
    leave_current_folder()
    main()
