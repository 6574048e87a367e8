"""Accounts, users and policies on one cluster, made by the command line."""

import itertools
import json

import requests
from harness import run_cairn, s3_client

numbers = itertools.count()


class People:
    """Makes accounts and users on one cluster, and clients for them."""

    def __init__(self, cairn, directory):
        self.cairn = cairn
        self.directory = directory

    def admin(self, *args):
        done = run_cairn(["admin", *args, "--metanode", self.cairn.metanode.url], self.cairn.secret)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def client(self, key, gateway=0, **config):
        return s3_client(self.cairn.gateways[gateway].url, *key, **config)

    def account(self):
        """A new account: its id, its canonical user id, and the key of its root user."""
        made = self.cairn.admin_json("account", "create", f"account-{next(numbers)}")
        account, key = made["account"], made["key"]
        account = account.get("account", account)
        return account["id"], account["canonical_id"], (key["access_key"], key["secret_key"])

    def user(self, *statements, account="000000000000"):
        """A new user with one policy of these statements: its key and its ARN."""
        name = f"person-{next(numbers)}"
        of = ["--account", account]
        made = self.cairn.admin_json("user", "create", name, *of)
        key = made.get("key", made)
        if statements:
            file = self.directory / f"{name}.json"
            file.write_text(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
            self.admin("policy", "create", name, str(file), *of)
            self.admin("policy", "attach", name, "--user", name, *of)
        return (key["access_key"], key["secret_key"]), f"arn:aws:iam::{account}:user/{name}"

    def anonymous(self, method, path, gateway=0, **more):
        """A plain HTTP request without a signature."""
        return requests.request(method, self.cairn.gateways[gateway].url + path, timeout=60, **more)


def allow(actions, *resources, **more):
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources), **more}


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
