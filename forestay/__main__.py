"""`python -m forestay` is `forestay`."""

from forestay.start import main

if __name__ == "__main__":
    main(module=True)
