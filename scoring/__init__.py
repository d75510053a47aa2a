"""From a registered model to a proven scoring folder, and from there to a target.

schema        model_schema.json and golden.json, as the training engine wrote them
folder        a scoring folder: its files, their hashes, its proof
foreign       a model from elsewhere becomes an outputs folder like a trial's
imports       which packages serving imports, traced; conda, advisories: other trainers' files, known weaknesses
environment   conda_env.yaml -> requirements.lock -> a clean virtual environment; serving_packages: what serving adds
requests      requests made from the schema: samples, the three forms, ones that must be refused
openapi       the service's interface as a document
styles        the frames round a model: azureml, mlflow, simple
safe          the model as skops, where every type is known
generate      model version -> scoring folder
server        the real Azure ML inference server, started and stopped
verify        scoring folder -> proof, by the checks of `checks`; in a container where the Python differs
proofs        the proofs kept under .forestay, by model version and hash of the folder
diff          what changes for callers between two versions
serve         a folder at work: reloaded when it changes, with a page to try it
batch         a file of any size, scored on this machine
images        a proven folder -> an image, by docker, podman or buildah
targets       where a proven folder can be deployed to
"""
