import Foundation

/// One JSON value as it travels: text, decoded when somebody wants it.
public struct Payload: Equatable, Hashable, Sendable {
    /// The JSON text.
    public let text: String

    /// A payload of JSON text that you have already. The library checks it when it is sent.
    public init(text: String) { self.text = text }

    /// A payload of anything that can be encoded. Throws the encoder's `EncodingError`.
    public init(encoding value: some Encodable, with encoder: JSONEncoder = JSONEncoder()) throws {
        text = String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// The value as a type of yours. Throws the decoder's `DecodingError`.
    public func decode<Value: Decodable>(
        as type: Value.Type = Value.self, with decoder: JSONDecoder = JSONDecoder()
    ) throws -> Value {
        try decoder.decode(type, from: Data(text.utf8))
    }

    /// The value, whatever it is. Throws a `DecodingError` for numbers beyond `Double` and for depths that
    /// the decoder does not take.
    public var json: JSONValue {
        get throws { try decode(as: JSONValue.self) }
    }
}

extension Payload: CustomStringConvertible {
    /// How long it is: what people send is not for logs.
    public var description: String { "Payload(\(text.utf8.count) bytes)" }
}
