"""What the project needs in an AWS account. Live AWS is the state: there is no state file.

Each resource is a module: its name, its ARN, the permissions it needs, and how it is read, written and deleted. `stack`
has the list of them; `policies` puts their permissions together.
"""
