"""Mails as others read them: generated names and addresses, under every CPython that can be had."""
