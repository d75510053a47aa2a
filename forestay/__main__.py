"""`python -m forestay` is `forestay`."""

from forestay.cli import main

if __name__ == "__main__":
    main()
