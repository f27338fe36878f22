"""Python's MySQL drivers behind one way to connect. The C extension of mysql-connector-python
is MySQL's own client library."""

import ssl

import mysql.connector
import pymysql


def pymysql_plain(instance, **keywords):
    # Without a word about it this driver takes TLS where it is offered.
    return _pymysql(instance, **{"ssl_disabled": "ssl" not in keywords, **keywords})


def pymysql_tls(instance, **keywords):
    context = ssl.create_default_context(cafile=instance.ca_file)
    return _pymysql(instance, ssl=context, **keywords)


def _pymysql(instance, **keywords):
    arguments = {
        "host": instance.host, "port": instance.port, "user": instance.user, "password": instance.password,
        "database": instance.database, "connect_timeout": 10, "read_timeout": 60,
    }  # fmt: skip
    return pymysql.connect(**{**arguments, **keywords})


def pure_plain(instance, **keywords):
    return _connector(instance, use_pure=True, ssl_disabled=True, **keywords)


def pure_tls(instance, **keywords):
    return _connector(instance, use_pure=True, **_verified(instance), **keywords)


def library_plain(instance, **keywords):
    return _connector(instance, use_pure=False, ssl_disabled=True, **keywords)


def library_tls(instance, **keywords):
    return _connector(instance, use_pure=False, **_verified(instance), **keywords)


def pure_compressed(instance, **keywords):
    return pure_plain(instance, compress=True, **keywords)


def library_compressed_tls(instance, **keywords):
    return library_tls(instance, compress=True, **keywords)


def _verified(instance):
    return {"ssl_ca": instance.ca_file, "ssl_verify_cert": True, "ssl_verify_identity": True}


def _connector(instance, **keywords):
    arguments = {
        "host": instance.host, "port": instance.port, "user": instance.user, "password": instance.password,
        "database": instance.database, "connection_timeout": 10,
        # The default of this driver, utf8mb4_0900_ai_ci, exists in MySQL 8 only.
        "collation": "utf8mb4_general_ci",
    }  # fmt: skip
    return mysql.connector.connect(**{**arguments, **keywords})


ALL = {
    "pymysql": pymysql_plain,
    "pymysql-tls": pymysql_tls,
    "connector": pure_plain,
    "connector-tls": pure_tls,
    "connector-compressed": pure_compressed,
    "libmysqlclient": library_plain,
    "libmysqlclient-tls": library_tls,
    "libmysqlclient-compressed-tls": library_compressed_tls,
}
CONNECTORS = {name: connect for name, connect in ALL.items() if "pymysql" not in name}
PYMYSQL = {name: connect for name, connect in ALL.items() if "pymysql" in name}
ERRORS = (pymysql.err.MySQLError, mysql.connector.Error)


def number(error):
    """The MySQL error number of an exception of either driver."""
    return getattr(error, "errno", None) or error.args[0]
