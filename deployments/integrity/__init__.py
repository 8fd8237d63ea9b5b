"""The integrity guard: a process proves which release it is before it does any work.

The folder knows nothing of the project around it and can be moved into another Prefect project. This file
stays empty of imports, so that the plugin hook may load it while Prefect itself is still loading.
"""
