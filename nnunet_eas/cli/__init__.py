"""The command `nnunet-eas`: a module per subcommand with its help as docstring, `add_options` and `run`."""
