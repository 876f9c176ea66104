import Foundation

/// H.264 as VideoToolbox has it, with each unit's length before it, and as remotes send it, with start codes
/// (ITU-T H.264 annex B).
enum H264 {
    /// Bytes of the length before each unit.
    static let lengthBytes = 4

    private static let sequenceParameterSet: UInt8 = 7
    private static let pictureParameterSet: UInt8 = 8

    /// A unit behind its length.
    static func append(_ unit: some DataProtocol, to data: inout Data) {
        withUnsafeBytes(of: UInt32(clamping: unit.count).bigEndian) { data.append(contentsOf: $0) }
        data.append(contentsOf: unit)
    }

    /// The units between start codes of three or four bytes.
    static func units(inAnnexB data: Data) -> [Data] {
        let bytes = [UInt8](data)
        var (units, start, at) = ([Data](), Int?.none, 0)
        func end(at end: Int) {
            guard let start else { return }
            // Zeros before a start code belong to it, whatever their number.
            var end = end
            while end > start, bytes[end - 1] == 0 { end -= 1 }
            if end > start { units.append(Data(bytes[start..<end])) }
        }
        while at + 2 < bytes.count {
            guard bytes[at] == 0, bytes[at + 1] == 0, bytes[at + 2] == 1 else {
                at += 1
                continue
            }
            end(at: at)
            at += 3
            start = at
        }
        end(at: bytes.count)
        return units
    }

    /// An access unit in two parts: its parameter sets, and the rest with lengths.
    static func parts(ofAnnexB data: Data) -> (parameterSets: [Data], units: Data) {
        var (sets, rest) = ([Data](), Data())
        for unit in units(inAnnexB: data) {
            switch unit.first.map({ $0 & 0x1f }) {
            case sequenceParameterSet, pictureParameterSet: sets.append(unit)
            default: append(unit, to: &rest)
            }
        }
        return (sets, rest)
    }
}

/// What an app gave that cannot be used.
func invalidArgument(_ code: String, _ message: String, cause: String, fix: String) -> MeteredError {
    MeteredError(
        kind: .invalidArgument, name: "InvalidArgumentError", code: code, message: message, cause: cause, fix: fix)
}
