"""The command `nnunet-eas`, a module per subcommand.

The docstring of a module is the command's help. `add_options(parser)` declares its options, named as the parameters of
the function that `run(args)` calls; `run` prints the result and returns the exit status, 0 unless it says otherwise.
"""
