"""score.py that answers nothing: what the server itself costs."""


def init():
    pass


def run(data):
    return {"Results": []}
