// What MeteredRealtime uses of Apple's module, as its headers declare it, for the tests on Linux alone: written
// by hand, so that they show what we mean to call and not what a device does.
@_exported import Foundation

public typealias OSStatus = Int32
public let noErr: OSStatus = 0
public typealias CFString = String
public typealias CFArray = NSArray
public final class CFAllocator: Sendable {}
public let kCFAllocatorDefault: CFAllocator? = nil

public typealias CMTimeValue = Int64
public typealias CMTimeScale = Int32
public enum CMTimeRoundingMethod: Sendable { case roundHalfAwayFromZero }

public struct CMTime: Equatable, Sendable {
    public var value: CMTimeValue
    public var timescale: CMTimeScale
    public static let invalid = CMTime(value: 0, timescale: 0)
    public init(value: CMTimeValue, timescale: CMTimeScale) {
        (self.value, self.timescale) = (value, timescale)
    }
}

public func CMTimeConvertScale(_ time: CMTime, timescale: Int32, method: CMTimeRoundingMethod) -> CMTime {
    guard time.timescale > 0 else { return .invalid }
    let value = (Double(time.value) / Double(time.timescale) * Double(timescale)).rounded()
    return CMTime(value: Int64(value), timescale: timescale)
}

public struct CMSampleTimingInfo {
    public var presentationTimeStamp: CMTime
    public init(duration: CMTime, presentationTimeStamp: CMTime, decodeTimeStamp: CMTime) {
        self.presentationTimeStamp = presentationTimeStamp
    }
}

public final class CMBlockBuffer {
    var data: Data
    init(_ data: Data) { self.data = data }
}

public struct CMBlockBufferCustomBlockSource {}
public let kCMBlockBufferAssureMemoryNowFlag: UInt32 = 1

public func CMBlockBufferCreateWithMemoryBlock(
    allocator: CFAllocator?, memoryBlock: UnsafeMutableRawPointer?, blockLength: Int, blockAllocator: CFAllocator?,
    customBlockSource: UnsafePointer<CMBlockBufferCustomBlockSource>?, offsetToData: Int, dataLength: Int,
    flags: UInt32, blockBufferOut: UnsafeMutablePointer<CMBlockBuffer?>
) -> OSStatus {
    blockBufferOut.pointee = CMBlockBuffer(Data(count: dataLength))
    return noErr
}

public func CMBlockBufferGetDataLength(_ buffer: CMBlockBuffer) -> Int { buffer.data.count }

public func CMBlockBufferCopyDataBytes(
    _ buffer: CMBlockBuffer, atOffset: Int, dataLength: Int, destination: UnsafeMutableRawPointer
) -> OSStatus {
    buffer.data.copyBytes(to: destination.assumingMemoryBound(to: UInt8.self), from: atOffset..<atOffset + dataLength)
    return noErr
}

public func CMBlockBufferReplaceDataBytes(
    with source: UnsafeRawPointer, blockBuffer: CMBlockBuffer, offsetIntoDestination: Int, dataLength: Int
) -> OSStatus {
    let range = offsetIntoDestination..<offsetIntoDestination + dataLength
    blockBuffer.data.replaceSubrange(range, with: Data(bytes: source, count: dataLength))
    return noErr
}

public typealias FourCharCode = UInt32
public typealias CMVideoCodecType = FourCharCode
public let kCMVideoCodecType_H264: CMVideoCodecType = 0x6176_6331
public let kCMVideoCodecType_HEVC: CMVideoCodecType = 0x6876_6331

public final class CMFormatDescription {
    let sets: [Data]
    let codec: CMVideoCodecType
    init(_ sets: [Data], _ codec: CMVideoCodecType = kCMVideoCodecType_H264) {
        (self.sets, self.codec) = (sets, codec)
    }
}

public func CMFormatDescriptionGetMediaSubType(_ description: CMFormatDescription) -> FourCharCode {
    description.codec
}

public func CMVideoFormatDescriptionCreate(
    allocator: CFAllocator?, codecType: CMVideoCodecType, width: Int32, height: Int32, extensions: NSDictionary?,
    formatDescriptionOut: UnsafeMutablePointer<CMFormatDescription?>
) -> OSStatus {
    formatDescriptionOut.pointee = CMFormatDescription([], codecType)
    return noErr
}

public func CMVideoFormatDescriptionCreateFromH264ParameterSets(
    allocator: CFAllocator?, parameterSetCount: Int, parameterSetPointers: UnsafePointer<UnsafePointer<UInt8>>,
    parameterSetSizes: UnsafePointer<Int>, nalUnitHeaderLength: Int32,
    formatDescriptionOut: UnsafeMutablePointer<CMFormatDescription?>
) -> OSStatus {
    // Core Media wants both kinds.
    guard parameterSetCount >= 2, nalUnitHeaderLength == 4 else { return -12_712 }
    formatDescriptionOut.pointee = CMFormatDescription(
        (0..<parameterSetCount).map { Data(bytes: parameterSetPointers[$0], count: parameterSetSizes[$0]) })
    return noErr
}

public func CMVideoFormatDescriptionGetH264ParameterSetAtIndex(
    _ description: CMFormatDescription, parameterSetIndex: Int,
    parameterSetPointerOut: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    parameterSetSizeOut: UnsafeMutablePointer<Int>?, parameterSetCountOut: UnsafeMutablePointer<Int>?,
    nalUnitHeaderLengthOut: UnsafeMutablePointer<Int32>?
) -> OSStatus {
    let set = [UInt8](description.sets[parameterSetIndex])
    // It lives as long as the process: a stand-in for memory of the description.
    let kept = UnsafeMutablePointer<UInt8>.allocate(capacity: set.count)
    kept.initialize(from: set, count: set.count)
    parameterSetPointerOut?.pointee = UnsafePointer(kept)
    parameterSetSizeOut?.pointee = set.count
    parameterSetCountOut?.pointee = description.sets.count
    nalUnitHeaderLengthOut?.pointee = 4
    return noErr
}

public final class CMSampleBuffer {
    let block: CMBlockBuffer?
    let format: CMFormatDescription?
    let time: CMTime
    let attachments: NSArray = [NSMutableDictionary()]
    init(_ block: CMBlockBuffer?, _ format: CMFormatDescription?, _ time: CMTime) {
        (self.block, self.format, self.time) = (block, format, time)
    }
}

public let kCMSampleAttachmentKey_NotSync: CFString = "NotSync"
public let kCMSampleAttachmentKey_DisplayImmediately: CFString = "DisplayImmediately"

public func CMSampleBufferCreateReady(
    allocator: CFAllocator?, dataBuffer: CMBlockBuffer?, formatDescription: CMFormatDescription?, sampleCount: Int,
    sampleTimingEntryCount: Int, sampleTimingArray: UnsafePointer<CMSampleTimingInfo>?, sampleSizeEntryCount: Int,
    sampleSizeArray: UnsafePointer<Int>?, sampleBufferOut: UnsafeMutablePointer<CMSampleBuffer?>
) -> OSStatus {
    let time = sampleTimingArray?.pointee.presentationTimeStamp ?? .invalid
    sampleBufferOut.pointee = CMSampleBuffer(dataBuffer, formatDescription, time)
    return noErr
}

public func CMSampleBufferGetDataBuffer(_ buffer: CMSampleBuffer) -> CMBlockBuffer? { buffer.block }
public func CMSampleBufferGetFormatDescription(_ buffer: CMSampleBuffer) -> CMFormatDescription? { buffer.format }
public func CMSampleBufferGetPresentationTimeStamp(_ buffer: CMSampleBuffer) -> CMTime { buffer.time }
public func CMSampleBufferGetSampleAttachmentsArray(
    _ buffer: CMSampleBuffer, createIfNecessary: Bool
) -> CFArray? { buffer.attachments }
