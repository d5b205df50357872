"""The columns of Datto_CL, the custom table this product defines: name -> (type, class)."""

from __future__ import annotations

TYPES = {
    "datetime": "TimeGenerated EventTime ReceivedAt QueryTime ResponseTime",
    "int": "Severity ReasonCode SrcPort DstPort",
    "long": "Packets",
    "dynamic": "Groups Extensions ParseWarnings",
    "string": (
        "Type EventKey DeviceVendor DeviceProduct DeviceVersion DeviceEventClassID Activity"
        " SenderIp SenderHost ApMac StationMac PreviousApMac Ssid Reason ClientIp ClientHostname"
        " Action Domain SrcIp DstIp Transport SocketFamily AppProtocol TrafficClass FlowType"
        " Priority CloudIp WanIp Subscriber UserId PeerId ExternalId ExternalType OrgCode"
        " NetworkId ServiceInstanceId PolicyId ClientEvent EventTypeRaw Trigger DurationRaw"
        " RawEvent EventUid"
    ),
}
MANDATORY = {"TimeGenerated", "Type"}  # one time for the table, one name to route the row by

DATTO_CL = {
    name: (kind, "Mandatory" if name in MANDATORY else "Optional")
    for kind, names in TYPES.items()
    for name in names.split()
}
