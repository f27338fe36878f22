"""The harness's own signer against published vectors, so that a fault of the service is not
taken for one of the tests."""

from harness.api import sign, string_to_sign

PUBLIC = {
    "Timestamp": "2016-02-23T12:46:24Z",
    "Format": "XML",
    "AccessKeyId": "testid",
    "Action": "DescribeRegions",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
    "Version": "2014-05-26",
    "SignatureVersion": "1.0",
}
SPECIAL = {
    "Action": "CreateInstance",
    "Version": "2016-01-01",
    "Format": "JSON",
    "RegionId": "cn-hangzhou",
    "Timestamp": "2019-01-17T08:00:00Z",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureType": "",
    "SignatureVersion": "1.0",
    "SignatureNonce": "n-1",
    "AccessKeyId": "testid",
    "InstanceName": "a b*~/+%&=(x)!'中文",
    "NodeNumber": "2",
}


def test_the_public_example():
    assert string_to_sign("GET", PUBLIC) == (
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DXML"
        "%26SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"
        "%26SignatureVersion%3D1.0%26Timestamp%3D2016-02-23T12%253A46%253A24Z%26Version%3D2014-05-26"
    )
    assert sign("GET", PUBLIC, "testsecret") == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_special_characters_and_an_empty_value():
    assert sign("GET", SPECIAL, "testsecret") == "O3P8OaNQgg9PQ6rj0xe1dI4FY5s="
    assert sign("POST", SPECIAL, "testsecret") == "CrRaT89nzdA5gb+C2P0/YZs1Ueo="
