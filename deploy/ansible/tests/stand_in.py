"""moto's EC2 and S3 on a port of this machine, with the one thing that EC2 lacks there: placement groups.

    stand_in.py PORT [ADDRESS]         on 127.0.0.1, unless told where
"""

import io
import sys
import urllib.parse
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


class PlacementGroups:
    """Answers the calls about placement groups as EC2 documents them, and passes all others on."""

    def __init__(self, others):
        self.others = others
        self.groups = {}

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        call = dict(urllib.parse.parse_qsl(body.decode("latin-1")))
        answer = {
            "CreatePlacementGroup": self.create,
            "DeletePlacementGroup": self.delete,
            "DescribePlacementGroups": self.describe,
        }.get(call.get("Action"))
        if answer is None:
            return self.others(environ, start_response)
        status, text = answer(call)
        start_response(status, [("Content-Type", "text/xml")])
        return [f'<?xml version="1.0"?><{call["Action"]}Response xmlns="{NAMESPACE}">{text}</{call["Action"]}Response>'.encode()]

    def create(self, call):
        """A new group; the same name twice is an error."""
        name = call["GroupName"]
        if name in self.groups:
            return self.error("InvalidPlacementGroup.Duplicate", name)
        tags = {}
        while key := call.get(f"TagSpecification.1.Tag.{len(tags) + 1}.Key"):
            tags[key] = call[f"TagSpecification.1.Tag.{len(tags) + 1}.Value"]
        self.groups[name] = {"strategy": call["Strategy"], "tags": tags}
        return "200 OK", f"<placementGroup>{self.show(name)}</placementGroup>"

    def delete(self, call):
        """Removes a group; one that is not there is an error."""
        if self.groups.pop(call["GroupName"], None) is None:
            return self.error("InvalidPlacementGroup.Unknown", call["GroupName"])
        return "200 OK", "<return>true</return>"

    def describe(self, call):
        """The groups of the names asked for, or all."""
        wanted = {value for key, value in call.items() if key.startswith(("GroupName.", "Filter.1.Value."))}
        shown = [self.show(name) for name in self.groups if not wanted or name in wanted]
        return "200 OK", f"<placementGroupSet>{''.join(f'<item>{one}</item>' for one in shown)}</placementGroupSet>"

    def show(self, name):
        """A group as XML."""
        group = self.groups[name]
        tags = "".join(f"<item><key>{escape(key)}</key><value>{escape(value)}</value></item>" for key, value in group["tags"].items())
        return (f"<groupName>{escape(name)}</groupName><strategy>{escape(group['strategy'])}</strategy>"
                f"<state>available</state><tagSet>{tags}</tagSet>")

    @staticmethod
    def error(code, name):
        """An error as EC2 gives it; botocore looks for its parts at any root."""
        return "400 Bad Request", f"<Errors><Error><Code>{code}</Code><Message>{escape(name)}</Message></Error></Errors>"


if __name__ == "__main__":
    application = PlacementGroups(DomainDispatcherApplication(create_backend_app))
    address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
    run_simple(address, int(sys.argv[1]), application, threaded=True, request_handler=MotoRequestHandler)
