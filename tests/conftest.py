"""Every test may use the real servers of tests/servers; none starts before a test asks for it."""

pytest_plugins = ["pytester", "tests.isolation", "tests.lanes", "tests.servers.fixtures"]
