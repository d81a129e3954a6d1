"""The contract between SageMaker and a training container: the files under /opt/ml.

`paths` names them, `config` reads and writes those in input/config, `failure` the one that says why a job failed, and
`tree` makes the whole for a job on this machine. The image, local runs and the embedded AWS know it from here.
"""
